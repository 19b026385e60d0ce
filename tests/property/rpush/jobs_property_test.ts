import "../jobs_property_test.ts?push=RPUSH";
