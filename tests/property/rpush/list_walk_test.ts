import "../list_walk_test.ts?push=RPUSH";
