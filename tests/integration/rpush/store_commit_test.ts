import "../store_commit_test.ts?push=RPUSH";
