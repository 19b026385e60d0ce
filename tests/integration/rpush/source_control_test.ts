import "../source_control_test.ts?push=RPUSH";
