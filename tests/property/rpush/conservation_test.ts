import "../conservation_test.ts?push=RPUSH";
