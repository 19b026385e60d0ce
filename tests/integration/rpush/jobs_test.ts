import "../jobs_test.ts?push=RPUSH";
