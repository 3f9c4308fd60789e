"""What a person sees: cards and live views."""
