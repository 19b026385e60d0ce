/** Resolves after so many milliseconds: faults have a length, and no condition to wait for. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
