import "../record_beside_test.ts?push=RPUSH";
