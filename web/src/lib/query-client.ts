import { QueryClient } from "@tanstack/react-query"

/** The live stream keeps the cache true, so nothing is fetched again because a window was focused. */
export const queryClient = new QueryClient({
  defaultOptions: { queries: { staleTime: Infinity, refetchOnWindowFocus: false, retry: 2 } },
})
