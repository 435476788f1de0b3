import { create } from "zustand"

export type Connection = "connecting" | "live" | "lost"

type Status = {
  connection: Connection
  /** qie wants its token before it says anything */
  locked: boolean
}

export const useStatus = create<Status>(() => ({ connection: "connecting", locked: false }))
