import "../look_test.ts?push=RPUSH";
