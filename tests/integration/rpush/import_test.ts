import "../import_test.ts?push=RPUSH";
