import "../edit_import_property_test.ts?push=RPUSH";
