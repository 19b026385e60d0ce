import "../replay_cycle_test.ts?push=RPUSH";
