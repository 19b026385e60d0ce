/** The context of the commands. */

/** State of a running command: its exit code and the signal to stop. */
export interface CliContext {
  readonly signal: AbortSignal;
  /** Registers a SIGHUP listener. Without one SIGHUP ends the process. */
  readonly onHangup: (listener: () => void) => void;
  exitCode: number;
}
