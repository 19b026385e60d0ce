import "../drill_test.ts?push=RPUSH";
