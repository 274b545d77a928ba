// Ops of every family, small enough to be computed by the hundred and large enough to be split over 2, 3, 4 and 6
// devices.
#pragma once

#include <vector>

#include "sharding/simulate.h"

namespace alpa::test {

std::vector<OpCase> ElementwiseCases();
std::vector<OpCase> MovementCases();
std::vector<OpCase> ReshapeCases();
std::vector<OpCase> DotCases();
std::vector<OpCase> ReduceCases();
std::vector<OpCase> ConvolutionCases();
std::vector<OpCase> ConvolutionGradientCases();
std::vector<OpCase> GroupedConvolutionCases();
std::vector<OpCase> WindowCases();
std::vector<OpCase> GatherCases();
std::vector<OpCase> ScatterCases();
std::vector<OpCase> OtherCases();

}  // namespace alpa::test
