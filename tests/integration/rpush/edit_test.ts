import "../edit_test.ts?push=RPUSH";
