"""The worker of qie: one process that holds a Qwen-Image-Edit model and edits pictures when told to."""
