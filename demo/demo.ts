/** `deno task demo`: the real service at work on an own Redis, with stand-ins for what surrounds it. */
import { Buffer } from "node:buffer";
import { parseArgs } from "node:util";
import { Redis } from "ioredis";
import { startRedisServer } from "../scripts/redis_server.ts";
import { startService } from "../tests/support/service.ts";
import { addsUp, formatAccount, formatDifferences, type Found, takeAccount } from "./account.ts";
import { LISTS, startConsumer } from "./consumer.ts";
import { type DeadLetter, DEMO_API_KEY, generateDeadLetters } from "./generator.ts";
import { startMockMoog } from "./mock_moog.ts";
import { describeGates, formatEnd, formatLine, formatOpening, type SourceHealth, TABLE_HEAD } from "./screen.ts";
import { type Depths, runScenes } from "./scenes.ts";
