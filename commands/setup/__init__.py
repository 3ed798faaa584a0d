"""The answers that the command `onboarding` collects."""
