/// Whether an errno of Linux says that the disk or a quota has no room now (ENOSPC, EDQUOT). Other than any other failure of a
/// disk it passes: what was refused may be tried again.
package func meansNoRoom(_ errno: Int32) -> Bool { errno == 28 || errno == 122 }
