# The figures in test_concordance.py, test_censoring.py and test_calibrating.py, by R 4.2.2 and its survival 3.5.3.
# It was run once, by: Rscript survival.R
library(survival)

number <- 1:60
score <- round(0.004 + 0.03 * ((number * 37) %% 61) / 61, 3)
years <- round(0.2 + 7 * ((number * 23) %% 67) / 67, 1)
is_case <- ((number * 31) %% 59) / 59 < 0.25 + 12 * score

# Uno's c-index, truncated at five years.
kept <- concordance(Surv(years, is_case) ~ score, timewt = "n/G2", ymax = 5, reverse = TRUE)
cat("c-index", format(kept$concordance, digits = 10), "\n")
harrell <- concordance(Surv(years, is_case) ~ score, ymax = 5, reverse = TRUE)
cat("Harrell", format(harrell$concordance, digits = 10), "\n")

# Who is still under observation just before a time.
lost <- survfit(Surv(years, !is_case) ~ 1)
before <- function(at) c(1, lost$surv)[findInterval(at, lost$time, left.open = TRUE) + 1]

# Uno's cumulative/dynamic AUC, pair by pair.
for (year in 1:5) {
  won <- 0
  pairs <- 0
  for (i in which(is_case & years <= year)) for (j in which(years > year)) {
    pairs <- pairs + 1 / before(years[i])
    won <- won + ((score[j] < score[i]) + (score[j] == score[i]) / 2) / before(years[i])
  }
  cat("AUC", year, format(won / pairs, digits = 10), "\n")
}

# Kaplan-Meier at five years, with its interval.
five <- summary(survfit(Surv(years, is_case) ~ 1, conf.type = "log-log"), times = 5)
cat("observed", format(c(1 - five$surv, five$std.err, 1 - five$upper, 1 - five$lower), digits = 10), "\n")

# The line over the logit, with censoring weights.
early <- is_case & years <= 5
weight <- ifelse(early | years > 5, 1 / before(pmin(years, 5)), 0)
line <- suppressWarnings(glm(early ~ qlogis(score), family = binomial, weights = weight, epsilon = 1e-14))
cat("line", format(coef(line), digits = 10), "\n")
