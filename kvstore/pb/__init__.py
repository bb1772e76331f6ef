"""Messages generated from proto/kvstore/pb by scripts/genproto; never edited by hand."""
