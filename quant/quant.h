/* SPDX-License-Identifier: MIT */
/* quant.h - all passes: fuse, decide, prepare, convert; and analysis. Private. */
#ifndef QZOO_QUANT_QUANT_H
#define QZOO_QUANT_QUANT_H

#include "quant/analysis.h"
#include "quant/convert.h"
#include "quant/decide.h"
#include "quant/fuse.h"
#include "quant/notes.h"
#include "quant/observers/observer.h"
#include "quant/prepare.h"
#include "quant/qconfig.h"
#include "quant/qparams.h"
#include "quant/refine/refine.h"
#include "quant/statistics.h"

#endif
