"""Messages and documents: taken in, enriched, analysed, scored and chased."""
