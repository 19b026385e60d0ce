/** The closed set of gates, for what may not import them. */
export { GATE_NAMES } from "../gates/gate.ts";
