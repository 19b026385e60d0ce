import "../find_operations_test.ts?push=RPUSH";
