"""What those who install and watch the service are told: is it safe, does it work, what does it do."""
