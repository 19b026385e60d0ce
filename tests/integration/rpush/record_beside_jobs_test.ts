import "../record_beside_jobs_test.ts?push=RPUSH";
