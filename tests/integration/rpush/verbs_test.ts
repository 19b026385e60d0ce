import "../verbs_test.ts?push=RPUSH";
