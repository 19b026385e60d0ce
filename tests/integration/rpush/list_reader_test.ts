import "../list_reader_test.ts?push=RPUSH";
