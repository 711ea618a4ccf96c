# The models of cds/study/slopes.py by lme4, on the set that test_mixed_models.py makes too: Rscript lme4.R
library(lme4)

part <- function(n) (sin(n * 12.9898) * 43758.5453) %% 1

women <- 1:120
exams <- do.call(rbind, lapply(women, function(woman) {
  before <- 0:(woman %% 7)
  n <- 100 * woman + before
  years <- -before - ifelse(before > 0, 0.2 * part(n), 0)
  level <- 2 + 3 * part(10000 + woman)
  slope <- 0.8 + 1.5 * (part(20000 + woman) - 0.5)
  percent <- level + slope * years + 2 * (part(30000 + n) - 0.5)
  data.frame(woman, years, percent)
}))
exams$earlier <- pmin(exams$years + 2, 0)
exams$last <- pmax(exams$years, -2)

control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10))
for (model in c("years", "earlier + last")) {
  formula <- as.formula(paste("percent ~", model, "+ (years | woman)"))
  fitted <- lmer(formula, exams, REML = TRUE, control = control)
  cat(model, "\n")
  print(c(fixef(fitted), sqrt(diag(as.matrix(vcov(fitted))))), digits = 10)
  print(c(as.matrix(VarCorr(fitted)$woman)[c(1, 2, 4)], sigma(fitted), REMLcrit(fitted)), digits = 10)
}
cat(nrow(exams), R.version.string, "lme4", format(packageVersion("lme4")), "\n")
