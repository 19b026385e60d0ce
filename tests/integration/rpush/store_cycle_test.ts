import "../store_cycle_test.ts?push=RPUSH";
