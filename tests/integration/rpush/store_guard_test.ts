import "../store_guard_test.ts?push=RPUSH";
