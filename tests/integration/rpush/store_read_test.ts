import "../store_read_test.ts?push=RPUSH";
