import "../store_contract_test.ts?push=RPUSH";
