-- Pictures and films among the tokens, and which of the cached ones were sound or pictures: each has a price of its own.
-- NULL in rows from before, where nobody told.
ALTER TABLE calls {on_cluster}
    ADD COLUMN IF NOT EXISTS image_input_tokens Nullable(Int64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS image_output_tokens Nullable(Int64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS video_input_tokens Nullable(Int64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS video_output_tokens Nullable(Int64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS cached_audio_tokens Nullable(Int64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS cached_image_tokens Nullable(Int64) CODEC(ZSTD(1))
