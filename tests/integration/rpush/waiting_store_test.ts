import "../waiting_store_test.ts?push=RPUSH";
