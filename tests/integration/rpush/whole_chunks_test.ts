import "../whole_chunks_test.ts?push=RPUSH";
