#include "alpa/driver/demo.h"

namespace alpa::driver {
Status Demo(const DemoOptions&) { return Ok(); }
}  // namespace alpa::driver
