/** Finds texts whatever their case. Pure. */

/** The form in which texts are compared. */
export function fold(text: string): string {
  return text.toLowerCase();
}

/** Whether each piece occurs behind the one before. Both are folded. Linear: each piece is taken at its first place. */
export function hasInOrder(text: string, pieces: readonly string[]): boolean {
  let at = 0;
  for (const piece of pieces) {
    const found = text.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return true;
}
