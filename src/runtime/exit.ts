/** Exit codes. 2, 69 and 78 are those of `sysexits.h` and of shells. */
export const EXIT = {
  /** Done, or something moved. */
  done: 0,
  /** Failed: Redis cannot be used, or a bug. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** Messages were there, none moved, a gate was closed. */
  held: 3,
  /** The service does not answer what it was asked (`EX_UNAVAILABLE`). */
  unavailable: 69,
  /** The configuration is wrong, or Redis is set up so that replay is not safe. */
  configuration: 78,
} as const;
