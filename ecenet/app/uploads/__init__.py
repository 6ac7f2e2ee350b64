"""Files that visitors and API clients send: checked, limited, fetched."""
