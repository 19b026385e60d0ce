import "../verbs_property_test.ts?push=RPUSH";
