# Installation and packages: `cpack -G TGZ` makes the relocatable tarball, `cpack -G DEB` the package (script/package).
include(GNUInstallDirs)

# Written by the program itself; one built for another processor is run by the emulator that the toolchain names.
set(pages_dir ${PROJECT_BINARY_DIR}/pages)
set(run_minke ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:minke>)
add_custom_command(
  OUTPUT ${pages_dir}/minke.1 ${pages_dir}/minke.bash ${pages_dir}/_minke ${pages_dir}/minke.fish
  COMMAND ${CMAKE_COMMAND} -E make_directory ${pages_dir}
  COMMAND ${run_minke} manual > ${pages_dir}/minke.1
  COMMAND ${run_minke} completion bash > ${pages_dir}/minke.bash
  COMMAND ${run_minke} completion zsh > ${pages_dir}/_minke
  COMMAND ${run_minke} completion fish > ${pages_dir}/minke.fish
  COMMAND python3 ${PROJECT_SOURCE_DIR}/script/lib/licences.py ${pages_dir}/licences ${PROJECT_SOURCE_DIR}/src/constrain/rust/Cargo.lock
  DEPENDS minke ${PROJECT_SOURCE_DIR}/script/lib/licences.py
  COMMENT "The manual page, completions, licences"
  VERBATIM)
add_custom_target(minke_pages DEPENDS ${pages_dir}/minke.1)

file(GLOB shapes CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/data/shapes/*.json)

install(TARGETS minke RUNTIME COMPONENT program)
install(FILES ${pages_dir}/minke.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
install(FILES ${pages_dir}/minke.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME minke COMPONENT program)
install(FILES ${pages_dir}/_minke DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT program)
install(FILES ${pages_dir}/minke.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT program)
install(FILES ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)
install(DIRECTORY ${pages_dir}/licences DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs COMPONENT program FILES_MATCHING PATTERN "*.md")
install(FILES ${shapes} DESTINATION ${CMAKE_INSTALL_DATADIR}/minke/shapes COMPONENT program)
install(FILES packaging/minke.service packaging/minke.conf DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT program)
install(FILES packaging/minke.service DESTINATION lib/systemd/system COMPONENT system)
install(FILES packaging/minke.conf DESTINATION /etc/minke COMPONENT system)

set(CPACK_PACKAGE_NAME minke)
set(CPACK_PACKAGE_VENDOR Minke)
set(CPACK_PACKAGE_CONTACT "Minke <minke@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "large language models on the processors you own")
set(CPACK_PACKAGE_DESCRIPTION "Runs, serves and examines DeepSeek's models, their distills, Qwen and Llama on\n\
 processors with AVX2, AVX-512, AMX or NEON, with the APIs of OpenAI, DeepSeek,\n Anthropic and Ollama.")
set(CPACK_PACKAGE_FILE_NAME minke-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/package_components.cmake)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
# All but the C library is linked into the program.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libc6 (>= 2.34), adduser")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${PROJECT_SOURCE_DIR}/packaging/debian/conffiles ${PROJECT_SOURCE_DIR}/packaging/debian/postinst
  ${PROJECT_SOURCE_DIR}/packaging/debian/prerm ${PROJECT_SOURCE_DIR}/packaging/debian/postrm)
include(CPack)
