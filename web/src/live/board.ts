import { useInfiniteQuery, useQuery, type InfiniteData } from "@tanstack/react-query"
import { getJob, listJobs, type Job, type JobPage } from "../api/gen/qie"
import { RequestError } from "../api/request"
import { everything, matches, type Filter } from "../lib/filter"
import { queryClient } from "../lib/query-client"
import type { Board } from "./apply"

export const boardKey = ["board"] as const
export const jobsKey = ["jobs"] as const
const jobKey = (id: string) => ["job", id] as const
const pageSize = 200

export function readBoard(): Board | null {
  return queryClient.getQueryData<Board>(boardKey) ?? null
}

/** useBoard draws again only when what is picked has changed. Null until the server has spoken. */
export function useBoard<T>(pick: (board: Board) => T): T | null {
  const { data } = useQuery<Board, Error, T>({
    queryKey: boardKey,
    queryFn: () => Promise.reject(new Error("the live stream fills the board")),
    enabled: false,
    select: pick,
  })
  return data ?? null
}

/** readJob finds a job: the live one, else the one that keep or useJob put aside. */
export function readJob(id: string | null): Job | null {
  if (id === null) return null
  return readBoard()?.jobs[id] ?? queryClient.getQueryData<Job>(jobKey(id)) ?? null
}

/** keepJob remembers an old job that the live state no longer carries. */
export function keepJob(job: Job): void {
  queryClient.setQueryData(jobKey(job.id), job)
}

/** useJob gives the live job, else asks for it: an old one, or the one of before a reload. */
export function useJob(id: string | null): { job: Job | null; gone: boolean } {
  const live = useBoard((board) => (id === null ? null : (board.jobs[id] ?? null)))
  const known = useBoard(() => true) ?? false
  const old = useQuery({
    queryKey: jobKey(id ?? ""),
    queryFn: ({ signal }) => getJob(id ?? "", { signal }),
    enabled: known && id !== null && live === null,
    retry: false,
  })
  if (id === null) return { job: null, gone: false }
  return { job: live ?? old.data ?? null, gone: live === null && old.error instanceof RequestError && old.error.status === 404 }
}

/** useHistory pages through the jobs of a filter, newest first; the live stream patches what was fetched. */
export function useHistory(filter: Filter) {
  const { q, photo, starred, trashed } = filter
  return useInfiniteQuery({
    queryKey: [...jobsKey, filter],
    queryFn: ({ pageParam, signal }) =>
      listJobs({
        limit: pageSize,
        ...(q ? { q } : {}), ...(photo ? { photo } : {}), ...(starred ? { starred } : {}), ...(trashed ? { trashed } : {}),
        ...(pageParam ? { cursor: pageParam } : {}),
      }, { signal }),
    initialPageParam: "",
    getNextPageParam: (last: JobPage) => last.next,
  })
}

type Pages = InfiniteData<JobPage, string>

/** readHistory is every job that the page has seen, newest first. */
export function readHistory(): Job[] {
  const pages = queryClient.getQueryData<Pages>([...jobsKey, everything])?.pages ?? []
  return mergeJobs(readBoard()?.jobs ?? {}, pages.flatMap((page) => page.jobs), everything)
}

/** patchHistory replaces (or, with null, removes) one job in every list that was fetched. */
export function patchHistory(id: string, job: Job | null): void {
  if (job === null) queryClient.removeQueries({ queryKey: jobKey(id) })
  else if (queryClient.getQueryData<Job>(jobKey(id))) keepJob(job)
  for (const [key, data] of queryClient.getQueriesData<Pages>({ queryKey: jobsKey })) {
    if (!data?.pages.some((page) => page.jobs.some((j) => j.id === id))) continue
    const filter = key.at(-1) as Filter
    const pages = data.pages.map((page) => ({
      ...page,
      jobs: page.jobs.flatMap((j) => (j.id !== id ? [j] : job && matches(job, filter) ? [job] : [])),
    }))
    queryClient.setQueryData<Pages>(key, { ...data, pages })
  }
}

/** mergeJobs joins live jobs with fetched ones; the live one is newer. Newest first, then by id, as the server sorts. */
export function mergeJobs(live: Readonly<Record<string, Job>>, fetched: readonly Job[], filter: Filter): Job[] {
  const byId = new Map(fetched.map((job) => [job.id, job]))
  for (const job of Object.values(live)) if (matches(job, filter)) byId.set(job.id, job)
  return [...byId.values()].toSorted(
    (a, b) => Date.parse(b.created_at) - Date.parse(a.created_at) || (a.id < b.id ? -1 : 1),
  )
}
