import { useQuery } from "@tanstack/react-query"
import { useMemo } from "react"
import { listJobs, type Job } from "../api/gen/qie"
import { queryClient } from "../lib/query-client"
import { grow, type Tree } from "../lib/tree"
import { readBoard, useBoard } from "./board"

export const treesKey = ["tree"] as const
const treeKey = (photo: string) => [...treesKey, photo] as const
const pageSize = 200

/** The tree of a photo with the jobs in it. */
export type Grove = { tree: Tree; jobs: ReadonlyMap<string, Job> }

/** useGrove gives the tree of a photo; it follows the live stream. */
export function useGrove(photo: string): Grove {
  const live = useBoard((board) => board.jobs)
  const { data } = useQuery({ queryKey: treeKey(photo), queryFn: ({ signal }) => fetchTree(photo, signal), enabled: photo !== "" && live !== null })
  return useMemo(() => join(photo, data ?? [], live ?? {}), [photo, data, live])
}

/** readGrove is the same for whoever does not draw. */
export function readGrove(photo: string): Grove {
  return join(photo, queryClient.getQueryData<Job[]>(treeKey(photo)) ?? [], readBoard()?.jobs ?? {})
}

/** patchTree takes what the live stream says of a job; removed is asked for again, because it may be in the trash only. */
export function patchTree(job: Job | null): void {
  if (job === null) {
    void queryClient.invalidateQueries({ queryKey: treesKey })
    return
  }
  queryClient.setQueryData<Job[]>(treeKey(job.photo ?? ""), (known) => (known ? [...known.filter((j) => j.id !== job.id), job] : known))
}

function join(photo: string, fetched: readonly Job[], live: Readonly<Record<string, Job>>): Grove {
  const jobs = new Map(fetched.map((job) => [job.id, job]))
  for (const job of Object.values(live)) if (photo !== "" && job.photo === photo) jobs.set(job.id, job)
  return { tree: grow(jobs.values()), jobs }
}

/** What is in the trash is fetched too: what was made of it hangs on what it was made from. */
async function fetchTree(photo: string, signal: AbortSignal): Promise<Job[]> {
  const jobs: Job[] = []
  for (const trashed of [false, true]) {
    let cursor: string | undefined = ""
    while (cursor !== undefined) {
      const page = await listJobs({ photo, trashed, limit: pageSize, ...(cursor ? { cursor } : {}) }, { signal })
      jobs.push(...page.jobs)
      cursor = page.next
    }
  }
  return jobs
}
