/** Exit codes. 69, 77 and 78 follow `sysexits.h`; 2 and 130 follow shells. */
export const EXIT = {
  /** Success, or at least one message moved. */
  done: 0,
  /** Failure: Redis is unusable, or a bug. */
  failed: 1,
  /** Invalid command line. */
  usage: 2,
  /** Messages were waiting but none moved because a gate was closed. */
  held: 3,
  /** The service does not answer the request (`EX_UNAVAILABLE`). */
  unavailable: 69,
  /** The API refuses the key, or its role is too low (`EX_NOPERM`). */
  noPermission: 77,
  /** Invalid configuration, or a Redis setup that makes replay unsafe. */
  configuration: 78,
  /** Interrupted by Ctrl-C (128 + SIGINT). */
  interrupted: 130,
} as const;
